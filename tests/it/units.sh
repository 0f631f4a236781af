#!/bin/bash
# Boots systemd as PID 1 over a throw-away copy of this machine's root, follows the README's
# steps in it, and uses the units as a night does. Run in new mount, pid, cgroup, uts, ipc and
# network namespaces: units.sh PROGRAM UNITS CUTS OUT; OUT/told gets what happened, and at
# last a line "todo bien" if all of it was right.
set -eu
program=$1 units=$2 cuts=$3 out=$4
base=$out/base
mkdir "$base"
mount --make-rprivate /
mount -t tmpfs tmpfs "$base"
mkdir "$base/upper" "$base/work" "$base/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$base/upper,workdir=$base/work" "$base/root"
cd "$base/root"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero random urandom full tty; do
  touch "dev/$device" && mount --bind "/dev/$device" "dev/$device"
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx && ln -s /proc/self/fd dev/fd
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
rm -f usr/bin/difusor && cp "$program" usr/bin/difusor
rm -rf srv && mkdir srv
mkdir -p mnt/told mnt/cuts etc/sysusers.d etc/tmpfiles.d
mount --bind "$out" mnt/told
mount --bind "$cuts" mnt/cuts
cp "$units"/*.service "$units"/*.socket etc/systemd/system/
cp "$units"/sysusers.d/difusor.conf etc/sysusers.d/
cp "$units"/tmpfiles.d/difusor.conf etc/tmpfiles.d/
: > etc/machine-id

cat > etc/systemd/system/prueba.service <<'UNIT'
[Unit]
After=basic.target
Requires=basic.target
[Service]
Type=oneshot
ExecStart=/bin/bash /mnt/noche.sh
ExecStopPost=/bin/systemctl poweroff --force --force
StandardOutput=append:/mnt/told/told
StandardError=append:/mnt/told/told
UNIT

cat > mnt/noche.sh <<'NIGHT'
set -eux
export HOME=/root LANG=C
config=/srv/prep/difusor.toml
difusor init /srv/prep --ssh 127.0.0.1:2222 --https 127.0.0.1:8443 --http 127.0.0.1:8080
ssh-keygen -q -t ed25519 -N '' -f /tmp/id
difusor keys add instituto --from 127.0.0.0/8 /tmp/id.pub --config $config
systemd-sysusers
systemd-tmpfiles --create difusor.conf
difusor check --config $config
live() { curl -sk https://127.0.0.1:8443/.well-known/prep/estado.json; }
push() {
  scp -i /tmp/id -P 2222 -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
    "$1"/*.tar.gz prep@127.0.0.1:
}
shows() {
  for _ in $(seq 200); do live | grep -q "$1" && return; done
  live
  false
}

# Two halves under two users.
systemctl start difusor-receive difusor-serve
push /mnt/cuts/cut_000
shows T20:00
runuser -u difusor -- difusor status --config $config
test "$(stat -c %U /srv/prep/var/history)" = difusor
test "$(stat -c %U /srv/prep/var/tls/*key* | sort -u)" = difusor-web
grep 'Seccomp:.2' "/proc/$(systemctl show -p MainPID --value difusor-receive)/status"
# One dies: readers do not notice, and it comes back by itself.
before=$(systemctl show -p MainPID --value difusor-receive)
systemctl kill -s KILL difusor-receive
test "$(curl -sk -o /dev/null -w '%{http_code}' https://127.0.0.1:8443/)" = 200
for _ in $(seq 200); do
  now=$(systemctl show -p MainPID --value difusor-receive)
  systemctl is-active -q difusor-receive && test "$now" != "$before" && break
  sleep 0.1
done
push /mnt/cuts/cut_001
shows T20:15
# What each half gave up holds; nothing is missing that this kernel has.
runuser -u difusor -- difusor status --json --config $config | grep '"tried":{[^}]*"write_shadow":true'
runuser -u difusor -- difusor status --json --config $config | grep '"landlock":"\(enforced\|partial\)","seccomp":"enforced"'
# Read again: a bad file changes nothing and fails, a good one holds at once.
cp $config /tmp/good
printf '[https]\nidle = "mucho"\n' > $config
if systemctl reload difusor-receive; then false; fi
cp /tmp/good $config
sed -i 's/^#idle = "30s"/idle = "31s"/' $config
systemctl reload difusor-receive difusor-serve
systemctl is-active difusor-receive difusor-serve
systemctl stop difusor-receive difusor-serve
test "$(systemctl show -p Result --value difusor-receive)" = success

# With the ports in systemd's hands: privileged ones for a service that has no privilege, and no restart
# refuses anybody.
doors="difusor-ssh.socket difusor-rsync.socket difusor-rsync-alt.socket difusor-admin.socket difusor-https.socket"
cat >> $config <<'MODULE'
[[rsync.module]]
name = "prep"
networks = ["127.0.0.0/8"]
MODULE
# shellcheck disable=SC2086 # one word a unit
systemctl start $doors
systemctl start difusor-receive difusor-serve
scp -i /tmp/id -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
  /mnt/cuts/cut_001/*.tar.gz prep@127.0.0.1:
curl -sk --fail-with-body -o /dev/null https://127.0.0.1/
rsync rsync://127.0.0.1/ | grep prep
rsync rsync://127.0.0.1:2873/ | grep prep
test "$(curl -s --unix-socket /srv/prep/var/run/admin.sock http://localhost/healthz)" = ok
systemctl stop difusor-receive difusor-serve
# Nobody serves; whoever comes now waits, and is the one who starts the service.
curl -sk --fail-with-body -o /dev/null https://127.0.0.1/
rsync rsync://127.0.0.1:2873/ | grep prep
# shellcheck disable=SC2086
systemctl stop $doors difusor-receive difusor-serve

# Both in one process, over the same instance.
rm /srv/prep/var/tls/*
systemctl start difusor
shows T20:15
push /mnt/cuts/cut_002
shows T20:30
systemctl stop difusor
test "$(systemctl show -p Result --value difusor)" = success
set +x
echo todo bien
NIGHT

mkdir oldroot
pivot_root . oldroot
exec chroot . /usr/bin/env -i container=other PATH=/usr/bin:/bin:/usr/sbin:/sbin \
  /lib/systemd/systemd --system --unit=prueba.service --log-target=null --show-status=no < /dev/null
