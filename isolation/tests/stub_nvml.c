/* A stand-in for the NVIDIA driver's library, built by tests: two GPUs, one of them divided.
   NVML_STUB chooses what is different: "no-driver", "mute" (no UUIDs), "whole" (none is divided), or a number:
   that process uses both. With -DOLD it lacks what old drivers lack. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int ret;
typedef struct { int n; int part; } device;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } memory;
typedef struct { unsigned gpu, memory; } utilization;

enum { OK = 0, NOT_SUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7, DRIVER_NOT_LOADED = 9 };

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
    if (d->n == 1 && !asked("whole")) return NOT_SUPPORTED;
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
    *now = *next = d->n == 1 && !asked("whole");
    return OK;
}
ret nvmlDeviceGetMaxMigDeviceCount(device *d, unsigned *n) { *n = 7; return OK; }
ret nvmlDeviceGetMigDeviceHandleByIndex(device *d, unsigned n, device **part) {
    if (n >= 2) return NOT_FOUND;
    *part = &parts[n];
    return OK;
}
ret nvmlDeviceGetHandleByUUID(const char *uuid, device **d) {
    int n;
    if (sscanf(uuid, "GPU-%d", &n) != 1 || n < 0 || n > 1) return NOT_FOUND;
    *d = &devices[n];
    return OK;
}

#ifndef OLD
typedef struct { unsigned pid; unsigned long long memory; unsigned gpu_instance, compute_instance; } process;
typedef struct { unsigned pid; unsigned long long at; unsigned sm, mem, enc, dec; } sample;

static unsigned user(void) { const char *stub = getenv("NVML_STUB"); return stub ? atoi(stub) : 0; }

ret nvmlDeviceGetComputeRunningProcesses_v3(device *d, unsigned *n, process *to) {
    unsigned room = *n, pid = user();
    *n = pid ? 2 : 0;
    if (room < *n) return TOO_SMALL;
    /* Another's, and the one asked about. */
    for (unsigned i = 0; i < *n; i++) to[i] = (process){pid + 1 - i, (i + 1) * 100ULL << 20, ~0u, ~0u};
    return OK;
}
ret nvmlDeviceGetProcessUtilization(device *d, sample *to, unsigned *n, unsigned long long since) {
    unsigned room = *n, pid = user();
    *n = pid ? 3 : 0;
    if (room < *n) return TOO_SMALL;
    for (unsigned i = 0; i < *n; i++) to[i] = (sample){pid + (i == 0), 10 - i, 30 + i, 0, 0, 0};
    return OK;
}
#endif
