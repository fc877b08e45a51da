# Completion of hornbeamctl for bash; written by scripts/render from its table of commands.
_hornbeamctl() {
    local current=${COMP_WORDS[COMP_CWORD]} words="" given="" i
    case ${COMP_WORDS[COMP_CWORD - 1]} in
        -c|--config|--socket) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
    esac
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            -c|--config|--socket|--ttl|--limit|--interval|--timeout) ((i++)) ;;
            -*) ;;
            *) given+="${given:+ }${COMP_WORDS[i]}" ;;
        esac
    done
    case $given in
        "") words="status workers reload restart upgrade stop scale recycle stacks config state topics pools log top wait version completion" ;;
        "reload") words="--all" ;;
        "stop") words="--now" ;;
        "config") words="diff" ;;
        "state") words="get set delete keys size" ;;
        "state set") words="--ttl" ;;
        "state keys") words="--limit" ;;
        "log") words="level" ;;
        "log level") words="debug info warning error" ;;
        "top") words="--once --interval" ;;
        "wait") words="ready" ;;
        "wait ready") words="--timeout" ;;
        "completion") words="bash zsh fish" ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words --json -c --config --socket --version -h --help" -- "$current")
}
complete -F _hornbeamctl hornbeamctl
