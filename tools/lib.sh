# shellcheck shell=bash
# What the tools in this folder share: messages, processes remembered by id and birth, loopback addresses, packages.
# Sourced, never run.

# The tool that speaks, for its messages.
tool="$(basename "$0")"

say() {
    printf '%s: %s\n' "$tool" "$*" >&2
}

fail() {
    say "$@"
    exit 1
}

# A mistake in the arguments; the comment at the head of the tool is its help.
misused() {
    say "$@"
    help
    exit 2
}

help() {
    sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p;}' "$0" >&2
}

is_number() {
    case "$1" in
    '' | *[!0-9]* | ??????*) return 1 ;;
    *) return 0 ;;
    esac
}

# A folder that nobody else may look into; one that belongs to somebody else is refused, as its name can be guessed.
own_folder() {
    (umask 077 && mkdir -p "$1") || fail "$1 cannot be made"
    if [ ! -d "$1" ] || [ ! -O "$1" ]; then fail "$1 belongs to somebody else; name another folder"; fi
}

# --- Processes. An id is used again one day, so what is remembered is the id with the birth of its process.

birth() {
    if [ -r "/proc/$1/stat" ]; then
        # The 22nd field; the second may hold blanks and ends with the last bracket.
        sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20
    else
        ps -o lstart= -p "$1" 2>/dev/null | tr -d ' '
    fi
}

# One letter: R and S run, T is paused, Z is dead and not yet fetched by its parent.
process_state() {
    if [ -r "/proc/$1/stat" ]; then
        sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -c1
    else
        ps -o state= -p "$1" 2>/dev/null | cut -c1
    fi
}

# launch PIDFILE LOG COMMAND…: in a group of its own, so that Ctrl-C in this terminal does not reach it, and holding
# nothing of this shell's input and output, so that who reads those is not kept waiting.
launch() {
    local file="$1" log="$2" pid
    shift 2
    set -m
    (
        trap '' HUP
        exec "$@"
    ) >>"$log" 2>&1 </dev/null &
    pid=$!
    set +m
    printf '%s %s\n' "$pid" "$(birth "$pid")" >"$file"
}

# Prints the id if that process still lives.
living() {
    local pid born
    [ -r "$1" ] || return 1
    read -r pid born <"$1" || return 1
    [ -n "$born" ] && [ "$(birth "$pid")" = "$born" ] && [ "$(process_state "$pid")" != Z ] || return 1
    printf '%s\n' "$pid"
}

signal() {
    local pid
    pid="$(living "$2")" || return 1
    kill "-$1" "$pid"
}

# wait_for SECONDS COMMAND…: until the command succeeds.
wait_for() {
    local until=$((SECONDS + $1))
    shift
    while ! "$@"; do
        [ "$SECONDS" -lt "$until" ] || return 1
        sleep 0.1
    done
}

gone() {
    ! living "$1" >/dev/null
}

# end_softly PIDFILE SECONDS: asks, waits, and then insists. One that is paused hears only when it goes on.
end_softly() {
    signal TERM "$1" || return 0
    signal CONT "$1" || true
    wait_for "$2" gone "$1" || end_now "$1"
}

end_now() {
    signal KILL "$1" || return 0
    wait_for 10 gone "$1" || say "process $(cat "$1") does not end"
}

# --- Addresses.

takes_connections() {
    (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null
}

random_below() {
    printf '%s\n' $(((RANDOM * 32768 + RANDOM) % $1))
}

# A port that nothing listens on now. Who wants it should take it soon.
free_port() {
    local port
    for _ in $(seq 100); do
        port=$((20000 + $(random_below 12000)))
        takes_connections 127.0.0.1 "$port" || { printf '%s\n' "$port"; return; }
    done
    fail 'no free port was found'
}

# address_at BASE I: the I-th address from a base on.
address_at() {
    printf '%s.%s\n' "${1%.*}" $((${1##*.} + $2 - 1))
}

# --- Packages.

have() {
    command -v "$1" >/dev/null 2>&1
}

# install_package WHAT apt=NAMES dnf=NAMES apk=NAMES brew=NAMES: by the machine's own package manager, or a clear message.
install_package() {
    local what="$1" manager names='' rights=() choice
    shift
    for manager in apt-get dnf apk brew none; do
        if have "$manager"; then break; fi
    done
    for choice in "$@"; do
        if [ "${choice%%=*}" = "${manager%-get}" ]; then names="${choice#*=}"; fi
    done
    [ -n "$names" ] || fail "$what is missing, and this tool knows no package manager here; please install it"
    if [ "$manager" != brew ] && [ "$(id -u)" != 0 ]; then
        sudo -n true 2>/dev/null || fail "$what is missing. Please run: sudo $manager install $names"
        rights=(sudo -n)
    fi
    say "installing $what ($manager: $names)"
    # shellcheck disable=SC2086 # several names
    case "$manager" in
    apt-get)
        rights+=(env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300)
        "${rights[@]}" install --no-install-recommends $names >&2 ||
            { "${rights[@]}" update >&2 && "${rights[@]}" install --no-install-recommends $names >&2; }
        ;;
    dnf) "${rights[@]+"${rights[@]}"}" dnf install -q -y $names >&2 ;;
    apk) "${rights[@]+"${rights[@]}"}" apk add -q $names >&2 ;;
    brew) brew install -q $names >&2 ;;
    esac || fail "$what could not be installed ($manager: $names)"
}

# The folder for what is fetched once and used again; never the work tree.
cache_folder() {
    local base="${XDG_CACHE_HOME:-${HOME:+$HOME/.cache}}"
    if [ -z "$base" ] || ! mkdir -p "$base" 2>/dev/null || [ ! -w "$base" ]; then
        base="${TMPDIR:-/tmp}/cache-$(id -u)"
        own_folder "$base"
    fi
    printf '%s/hubbub\n' "$base"
}

# A path that means the same in every folder.
absolute() {
    case "$1" in
    /*) printf '%s\n' "$1" ;;
    *) printf '%s/%s\n' "$PWD" "$1" ;;
    esac
}
