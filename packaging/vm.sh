#!/usr/bin/env bash
# Runs the attacks of isolation/tests/containers.rs as root on a machine with nothing but cgroup v2: a virtual one (qemu
# without KVM, Debian's cloud kernel), with all that they need in its initramfs. About half a minute. Says
# SKIPPED in one line where there is no qemu or no kernel to be had.
set -euo pipefail
cd "$(dirname "$0")/.."

skip() { echo "SKIPPED: cgroup v2 in a virtual machine: $*"; exit 0; }
[ "$(uname -m)" = x86_64 ] || skip "made for x86-64"
command -v qemu-system-x86_64 >/dev/null || skip "no qemu-system-x86_64; as root: apt-get install qemu-system-x86"
command -v busybox >/dev/null || skip "no busybox; as root: apt-get install busybox-static"

place="${CARGO_TARGET_DIR:-target}/vm"
mkdir -p "$place"
place=$(cd "$place" && pwd)

# The kernel, unpacked and not installed.
if ! ls "$place"/kernel/boot/vmlinuz-* >/dev/null 2>&1; then
    command -v apt-get >/dev/null || skip "no apt-get to get a kernel with"
    package=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -1)
    [ -n "$package" ] || skip "apt-get knows no linux-image-cloud-amd64"
    (cd "$place" && apt-get download -qq "$package" >/dev/null 2>&1) || skip "cannot download $package"
    dpkg -x "$place/$package"_*.deb "$place/kernel"
    rm "$place/$package"_*.deb
fi
kernel=$(ls "$place"/kernel/boot/vmlinuz-* | tail -1)

# The tests, and the launcher at the path that is built into them.
built=$(${CARGO:-cargo} test --locked -q -p tepui-isolation --test containers --no-run --message-format=json)
executable() { printf '%s\n' "$built" | grep "\"name\":\"$1\"" | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -1; }
tests=$(executable containers)
launcher=$(executable tepui-launch)

root="$place/root"
rm -rf "$root"
mkdir -p "$root"/{dev,etc,mnt,proc,root,run,sys,tmp,usr,var/tmp,attacks}
for name in bin sbin lib lib64; do
    mkdir "$root/usr/$name"
    ln -s "usr/$name" "$root/$name"
done
put() {
    cp -L --parents "$1" "$root"
    { ldd "$1" 2>/dev/null || true; } | { grep -o '/[^ )]*' || true; } | while read -r library; do
        [ -e "$root$library" ] || cp -L --parents "$library" "$root"
    done
}
for name in bash busybox cat chmod chroot chrt cp date dmesg env grep head hostname id ip ln ls mkdir mkfifo mknod mount mv \
    nice perl prlimit ps rm rmdir seq setsid sh sleep stat tail touch tr true unshare wc; do
    program=$(type -P "$name") && put "$program"
done
put "$tests"
cp -L --parents "$launcher" /etc/passwd /etc/group "$root"
mv "$root$tests" "$root/attacks/tests"
strip "$root/attacks/tests" "$root$launcher"

# An initramfs cannot be left by pivot_root: all of it moves to another file system first.
cat >"$root/init" <<'INIT'
#!/bin/busybox sh
busybox mkdir /new
busybox mount -t tmpfs -o size=75% none /new
for name in *; do [ "$name" = new ] || busybox cp -a "$name" /new/; done
exec busybox switch_root /new /start
INIT
cat >"$root/start" <<'START'
#!/bin/busybox sh
export PATH=/usr/bin:/usr/sbin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts pts /dev/pts
mount -t cgroup2 cgroup2 /sys/fs/cgroup
chmod 1777 /tmp /var/tmp
cd /attacks
./tests --nocapture --test-threads 1 2>&1
echo "ended with $?"
busybox poweroff -f
START
chmod +x "$root/init" "$root/start"
(cd "$root" && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1) >"$place/initramfs"

log="$place/log"
timeout 300 qemu-system-x86_64 -machine q35 -accel tcg -cpu max -smp 1 -m 768 -nographic -no-reboot -nic none \
    -kernel "$kernel" -initrd "$place/initramfs" -append "console=ttyS0 quiet loglevel=1 panic=-1" \
    </dev/null >"$log" 2>&1 || true
tr -d '\r' <"$log" | grep -E '^test |^test result|panicked|SKIPPED|ended with' || true
if ! tr -d '\r' <"$log" | grep -qx 'ended with 0' || grep -q SKIPPED "$log"; then
    tail -40 "$log"
    echo "error: the tests did not all pass with cgroup v2; all that was said: $log" >&2
    exit 1
fi
