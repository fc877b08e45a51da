# Completion of hornbeamctl for fish; written by scripts/render from its table of commands.
function __hornbeamctl_given
    set -l words (commandline -opc)[2..]
    set -l given
    while set -q words[1]
        switch $words[1]
            case -c --config --socket --ttl --limit --interval --timeout
                set -e words[1]
            case '-*'
            case '*'
                set -a given $words[1]
        end
        set -e words[1]
    end
    test "$given" = "$argv"
end
complete -c hornbeamctl -f
complete -c hornbeamctl -l json -d 'Write the answer as JSON, for scripts. Each progress is a line of its own before it.'
complete -c hornbeamctl -s c -l config -r -F -d 'The daemon that runs with this configuration file.'
complete -c hornbeamctl -l socket -r -F -d 'The daemon that listens at this socket.'
complete -c hornbeamctl -l version -d 'The same as the command version.'
complete -c hornbeamctl -s h -l help -d 'Show this; behind a command, what it does.'
complete -c hornbeamctl -n '__hornbeamctl_given' -a status -d 'Show how the server is.'
complete -c hornbeamctl -n '__hornbeamctl_given' -a workers -d 'List the workers and the processes of pools.'
complete -c hornbeamctl -n '__hornbeamctl_given' -a reload -d 'Bring in new code and configuration; no connection is dropped.'
complete -c hornbeamctl -n '__hornbeamctl_given' -a restart -d 'Replace all processes by new ones; no connection is refused.'
complete -c hornbeamctl -n '__hornbeamctl_given' -a upgrade -d 'Replace the daemon itself, as after an update; no connection is refused.'
complete -c hornbeamctl -n '__hornbeamctl_given' -a stop -d 'Stop the daemon, and wait for its end.'
complete -c hornbeamctl -n '__hornbeamctl_given' -a scale -d 'Have so many workers, or so many more or fewer.'
complete -c hornbeamctl -n '__hornbeamctl_given' -a recycle -d 'Replace one process.'
complete -c hornbeamctl -n '__hornbeamctl_given' -a stacks -d 'Show what the threads and tasks of a process are doing.'
complete -c hornbeamctl -n '__hornbeamctl_given' -a config -d 'Show each option: its value, where it comes from, and how a change applies.'
complete -c hornbeamctl -n '__hornbeamctl_given' -a state -d 'get, set, delete, keys, size'
complete -c hornbeamctl -n '__hornbeamctl_given' -a topics -d 'List the topics that are subscribed to, and who missed messages.'
complete -c hornbeamctl -n '__hornbeamctl_given' -a pools -d 'List the pools, and the calls that they have in hand and that wait.'
complete -c hornbeamctl -n '__hornbeamctl_given' -a log -d 'level'
complete -c hornbeamctl -n '__hornbeamctl_given' -a top -d 'Watch the server, as top(1) watches a machine.'
complete -c hornbeamctl -n '__hornbeamctl_given' -a wait -d 'ready'
complete -c hornbeamctl -n '__hornbeamctl_given' -a version -d 'Show the version of hornbeamctl, and of the daemon if it can be reached.'
complete -c hornbeamctl -n '__hornbeamctl_given' -a completion -d 'Print what a shell needs to complete commands.'
complete -c hornbeamctl -n '__hornbeamctl_given reload' -l all -d 'Load every module anew, not only what changed.'
complete -c hornbeamctl -n '__hornbeamctl_given stop' -l now -d 'Cut what is in hand.'
complete -c hornbeamctl -n '__hornbeamctl_given config' -a diff -d 'Show what a reload would change, and how; or what is wrong with the configuration.'
complete -c hornbeamctl -n '__hornbeamctl_given state' -a get -d 'Show a value of the state.'
complete -c hornbeamctl -n '__hornbeamctl_given state' -a set -d 'Store a value in the state.'
complete -c hornbeamctl -n '__hornbeamctl_given state' -a delete -d 'Remove an entry from the state.'
complete -c hornbeamctl -n '__hornbeamctl_given state' -a keys -d 'List the keys of the state.'
complete -c hornbeamctl -n '__hornbeamctl_given state' -a size -d 'Show how many entries the state has, and how much of its room they take.'
complete -c hornbeamctl -n '__hornbeamctl_given state set' -l ttl -d 'Forget it after so long.'
complete -c hornbeamctl -n '__hornbeamctl_given state keys' -l limit -d 'Show so many (1000).'
complete -c hornbeamctl -n '__hornbeamctl_given log' -a level -d 'Show the level of the event log, or change it until the next reload.'
complete -c hornbeamctl -n '__hornbeamctl_given log level' -a debug -d 'The least serious event to log.'
complete -c hornbeamctl -n '__hornbeamctl_given log level' -a info -d 'The least serious event to log.'
complete -c hornbeamctl -n '__hornbeamctl_given log level' -a warning -d 'The least serious event to log.'
complete -c hornbeamctl -n '__hornbeamctl_given log level' -a error -d 'The least serious event to log.'
complete -c hornbeamctl -n '__hornbeamctl_given top' -l once -d 'Show one screen and end.'
complete -c hornbeamctl -n '__hornbeamctl_given top' -l interval -d 'The time between two screens (2 s).'
complete -c hornbeamctl -n '__hornbeamctl_given wait' -a ready -d 'Wait until the server answers requests, also for a daemon that has yet to start.'
complete -c hornbeamctl -n '__hornbeamctl_given wait ready' -l timeout -d 'How long (60 s).'
complete -c hornbeamctl -n '__hornbeamctl_given completion' -a bash -d 'The shell.'
complete -c hornbeamctl -n '__hornbeamctl_given completion' -a zsh -d 'The shell.'
complete -c hornbeamctl -n '__hornbeamctl_given completion' -a fish -d 'The shell.'
