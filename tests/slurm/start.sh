#!/usr/bin/env bash
# Starts a Slurm cluster of two nodes on this machine, with all that it writes in one
# folder, by whoever calls it:
#
#     tests/slurm/start.sh FOLDER && export SLURM_CONF=FOLDER/slurm.conf && sinfo
#     tests/slurm/start.sh FOLDER stop
#
# Needs munged, slurmctld and slurmd: Debian's slurm-wlm and munge.
set -euo pipefail
export PATH="$PATH:/usr/sbin:/sbin"

folder="$1"
if [ "${2:-start}" = stop ]; then
    SLURM_CONF="$folder/slurm.conf" scancel --user "$(id -un)" || true
    sleep 1
    for pid in "$folder"/*.pid; do
        [ -s "$pid" ] && kill "$(cat "$pid")" 2>/dev/null || true
    done
    exit 0
fi

mkdir -p "$folder/state"
folder="$(cd "$folder" && pwd)"
# Ports that nobody listens at.
read -r controller first second < <(python3 - <<'PYTHON'
import socket

sockets = [socket.create_server(('', 0)) for _ in range(3)]
print(*(s.getsockname()[1] for s in sockets))
PYTHON
)
user="$(id -un)"
host="$(hostname -s)"

cat > "$folder/slurm.conf" <<CONF
ClusterName=pyg_msg3d
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$controller
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
CredType=cred/munge
# Queued again, a job waits until its credentials have expired.
AuthInfo=socket=$folder/munge.socket,cred_expire=5
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/%n
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/%n.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
KillWait=10
SchedulerParameters=sched_interval=1,batch_sched_delay=0
NodeName=node1 NodeHostname=$host NodeAddr=127.0.0.1 Port=$first CPUs=2
NodeName=node2 NodeHostname=$host NodeAddr=127.0.0.1 Port=$second CPUs=2
PartitionName=all Nodes=ALL Default=YES OverSubscribe=FORCE:4
CONF

dd if=/dev/urandom of="$folder/munge.key" bs=128 count=1 status=none
chmod 400 "$folder/munge.key"
munged --force --key-file="$folder/munge.key" --socket="$folder/munge.socket" \
    --pid-file="$folder/munged.pid" --log-file="$folder/munged.log" \
    --seed-file="$folder/munged.seed"
slurmctld -f "$folder/slurm.conf"
for node in node1 node2; do
    mkdir -p "$folder/$node"
    slurmd -f "$folder/slurm.conf" -N "$node"
done

export SLURM_CONF="$folder/slurm.conf"
for _ in $(seq 60); do
    if [ "$(sinfo --noheader --Node --states=idle 2>/dev/null | wc -l)" -ge 2 ]; then
        exit 0
    fi
    sleep 0.5
done
echo "The cluster did not come up; see the logs in $folder" >&2
tail -n 5 "$folder"/*.log >&2
exit 1
