#!/bin/sh
# Becomes the first process of a machine: gives it its own /run, /etc, /opt, /var, /proc, /sys and disk, then only reaps.
# Called in fresh mount, UTS and PID namespaces.  Arguments: NAME DISK INIT CGROUP READY
set -eu
name=$1 disk=$2 init=$3 cgroup=$4 ready=$5

mount --make-rprivate /
# Copies of other machines' network namespaces here would keep them alive after their power cut.
! mountpoint -q /run/netns || umount -R -l /run/netns
hostname "$name"
mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock /run/netns /run/sandbox/cgroups /run/sandbox/sysctl

# A sysfs of this network namespace, with the host's cgroup hierarchies and a bpffs of our own in it.
mount --rbind /sys/fs/cgroup /run/sandbox/cgroups
umount -R -l /sys
mount -t sysfs sysfs /sys
mount --rbind /run/sandbox/cgroups /sys/fs/cgroup
umount -R -l /run/sandbox/cgroups
mount -t bpf bpf /sys/fs/bpf
# Only this machine's part of the cgroup tree: socket programs attached here act on this machine alone.
mount --bind "$cgroup" /run/sandbox/cgroups

for folder in etc opt var; do
	upper=$disk/overlay/$folder
	mkdir -p "$upper/upper" "$upper/work" "/$folder"
	mount -t overlay -o "lowerdir=/$folder,upperdir=$upper/upper,workdir=$upper/work" overlay "/$folder"
done
# Real file systems: containerd's snapshots cannot lie on an overlay, and a journal should meet a real fsync.
for folder in kubelet containerd fairlead; do
	mkdir -p "$disk/$folder" "/var/lib/$folder"
	mount --bind "$disk/$folder" "/var/lib/$folder"
done
rm -rf /etc/resolv.conf /var/run /var/log/pods /var/log/containers
ln -s /run /var/run
# On its first boot a machine knows no network of the host's own container tools.
[ -d "$disk/overlay/etc/upper/cni" ] || rm -rf /etc/cni /opt/cni
mkdir -p /etc/cni/net.d /opt/cni/bin /var/log/pods /var/log/containers
cp "$disk/hosts" /etc/hosts
: >/etc/resolv.conf
echo "$name" >/etc/hostname

# kubelet sets these for the whole kernel, which is not ours; it leaves a value alone that is already as it wants it.
shadow() { echo "$2" >"/run/sandbox/sysctl/${1##*/}" && mount --bind "/run/sandbox/sysctl/${1##*/}" "/proc/sys/$1"; }
shadow vm/overcommit_memory 1
shadow vm/panic_on_oom 0
shadow kernel/panic 10
shadow kernel/panic_on_oops 1
shadow kernel/keys/root_maxkeys 1000000
shadow kernel/keys/root_maxbytes 25000000

mount --make-rshared /
echo ready >"$ready"
exec "$init"
