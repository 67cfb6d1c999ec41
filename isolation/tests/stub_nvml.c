/* A stand-in for the NVIDIA driver's library, built by gpu.rs beside it: two GPUs, one of them divided.
   NVML_STUB chooses what is wrong: "no-driver", "mute" (no UUIDs). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int ret;
typedef struct { int n; int part; } device;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } memory;
typedef struct { unsigned gpu, memory; } utilization;

enum { OK = 0, NOT_SUPPORTED = 3, NOT_FOUND = 6, DRIVER_NOT_LOADED = 9 };

static device devices[2] = {{0, -1}, {1, -1}};
static device parts[2] = {{1, 0}, {1, 1}};

static int asked(const char *what) {
    const char *stub = getenv("NVML_STUB");
    return stub && !strcmp(stub, what);
}

ret nvmlInit_v2(void) { return asked("no-driver") ? DRIVER_NOT_LOADED : OK; }
ret nvmlInitWithFlags(unsigned f) { return nvmlInit_v2(); }
ret nvmlShutdown(void) { return OK; }
const char *nvmlErrorString(ret r) { return "stub"; }
ret nvmlSystemGetDriverVersion(char *to, unsigned n) { snprintf(to, n, "580.1"); return OK; }
ret nvmlDeviceGetCount_v2(unsigned *n) { *n = 2; return OK; }
ret nvmlDeviceGetHandleByIndex_v2(unsigned n, device **d) { *d = &devices[n]; return OK; }
ret nvmlDeviceGetUUID(device *d, char *to, unsigned n) {
    if (asked("mute")) return NOT_SUPPORTED;
    snprintf(to, n, d->part < 0 ? "GPU-%d" : "MIG-%d-%d", d->n, d->part);
    return OK;
}
ret nvmlDeviceGetName(device *d, char *to, unsigned n) { snprintf(to, n, "Stub %d", d->n); return OK; }
ret nvmlDeviceGetMinorNumber(device *d, unsigned *n) {
    if (d->n == 1) return NOT_SUPPORTED;
    *n = 3;
    return OK;
}
ret nvmlDeviceGetMemoryInfo_v2(device *d, memory *m) {
    m->total = (d->part < 0 ? 81559ULL : 9856ULL) << 20;
    m->used = 500ULL << 20;
    m->free = m->total - m->used;
    m->reserved = 0;
    return OK;
}
ret nvmlDeviceGetUtilizationRates(device *d, utilization *u) { u->gpu = 42; u->memory = 7; return OK; }
ret nvmlDeviceGetMigMode(device *d, unsigned *now, unsigned *next) {
    *now = *next = d->n == 1;
    return OK;
}
ret nvmlDeviceGetMaxMigDeviceCount(device *d, unsigned *n) { *n = 7; return OK; }
ret nvmlDeviceGetMigDeviceHandleByIndex(device *d, unsigned n, device **part) {
    if (n >= 2) return NOT_FOUND;
    *part = &parts[n];
    return OK;
}
