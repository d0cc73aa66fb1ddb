#!/bin/bash
# First process of the machine that test/qemu/kernel.sh boots: runs /command and says on the second serial line how it ended.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/shm /dev/pts /run/netns
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
ln -sf /proc/self/fd /dev/fd
hostname kernel
ip link set lo up
cd /repo || cd /
bash /command </dev/null >/dev/ttyS0 2>&1
echo $? >/dev/ttyS1
sync
# With qemu's -no-reboot this is the end.
echo b >/proc/sysrq-trigger
sleep 60
