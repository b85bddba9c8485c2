#!/usr/bin/env bash
# Runs a command beside a Slurm of one node with two pretended GPUs, and stops that Slurm again.
# For Debian, as root: it installs slurm-wlm and munge and writes to /etc/slurm.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
installed=/etc/slurm

if grep -qs . $installed/slurm.conf && ! grep -q dpo-neurons $installed/slurm.conf; then
    echo "Error: $installed/slurm.conf is another Slurm's; run this on a machine without one" >&2
    exit 1
fi
if pgrep --runstates D,R,S 'slurm(ctl)?d' > /dev/null; then
    echo "Error: a Slurm is running here already; stop it first" >&2
    exit 1
fi
if ! command -v slurmctld slurmd munged > /dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends slurm-wlm munge
fi

state=$(mktemp -d)
started=()
stop() {
    squeue --noheader --format %i 2> /dev/null | xargs --no-run-if-empty scancel || true
    for pid in "${started[@]}"; do
        kill "$pid" 2> /dev/null && wait "$pid" || true
    done
    rm -rf "$state" $installed/slurm.conf $installed/gres.conf
}
trap stop EXIT
trap 'exit 130' INT TERM

mkdir "$state/slurmctld" "$state/slurmd"
host=$(hostname -s)
memory=$(awk '/^MemTotal/ {print int($2 / 1024 * 0.9)}' /proc/meminfo)
sed "s|HOST|$host|g; s|STATE|$state|g; s|MEMORY|$memory|g" "$here/slurm.conf" > $installed/slurm.conf
cp "$here/gres.conf" $installed/gres.conf

if ! munge --no-input > /dev/null 2>&1; then
    install -d -o munge -g munge /run/munge
    setpriv --reuid=munge --regid=munge --clear-groups munged --foreground 2> "$state/munged.log" &
    started+=($!)
fi
slurmctld -D > "$state/slurmctld.log" 2>&1 &
started+=($!)
slurmd -D > "$state/slurmd.log" 2>&1 &
started+=($!)

for _ in $(seq 60); do
    if [[ $(sinfo --noheader --format %T 2> /dev/null) == idle ]]; then
        "$@"
        exit
    fi
    sleep 1
done
echo "Error: Slurm did not start" >&2
tail -n 20 "$state"/*.log >&2
exit 1
