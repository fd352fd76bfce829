# Completion of pyenvctl for bash. What there is to complete is asked of the program:
# verbs and options of its help, ids of the daemon.

_pyenvctl_verb() # the verb among the words so far, if any
{
	local i
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		--socket | --timeout) [[ ${COMP_WORDS[i + 1]} == "=" ]] || i=$((i + 1)) ;;
		=) i=$((i + 1)) ;; # bash makes words of "--socket=PATH"
		-*) ;;
		*)
			echo "${COMP_WORDS[i]}"
			return
			;;
		esac
	done
}

_pyenvctl_offer() # what of these words begins like the current one
{
	mapfile -t COMPREPLY < <(compgen -W "$*" -- "${COMP_WORDS[COMP_CWORD]}")
}

# First column of a list. bash expands what is offered: so nothing but what ids are made of.
_pyenvctl_ids()
{
	"$1" list "$2" 2>/dev/null | awk 'NR > 1 && $1 !~ /[^a-z0-9]/ { print $1 }'
}

_pyenvctl_options() # those of a verb, or of all
{
	"$1" help ${2:+"$2"} 2>/dev/null |
		sed -n 's/^ \{2,6\}\(-., \)\{0,1\}\(--[a-z-]*\).*/\2/p'
}

_pyenvctl()
{
	local verb cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}

	verb=$(_pyenvctl_verb)
	COMPREPLY=()
	case $prev in
	--archive | --archive-copy | --python-file | --python | --python-path | --requirements | --flink-conf | --socket | --worker-command | --worker-program | -[afpr])
		compopt -o default 2>/dev/null
		return
		;;
	--bytecode)
		_pyenvctl_offer default always never
		return
		;;
	--installer)
		_pyenvctl_offer uv pip
		return
		;;
	esac
	case $verb,$cur in
	*,-*) _pyenvctl_offer "$(_pyenvctl_options "$1" "$verb")" ;;
	,* | help,*) _pyenvctl_offer "$("$1" help | sed -n 's/^  \([a-z]\{1,\}\)  .*/\1/p')" ;;
	list,*) _pyenvctl_offer environments layers leases creations artifacts ;;
	release,* | renew,* | token,*) _pyenvctl_offer "$(_pyenvctl_ids "$1" leases)" ;;
	show,*) _pyenvctl_offer "$(for kind in leases layers environments; do
		_pyenvctl_ids "$1" "$kind"
	done)" ;;
	*) compopt -o default 2>/dev/null ;;
	esac
}

complete -F _pyenvctl pyenvctl
