# bash completion for blkverify

_blkverify_formats='auto raw qcow2 qed vmdk vdi vhdx vpc parallels luks bochs cloop dmg vvfat'

_blkverify_options() {
	case $1 in
	run)
		echo --target= --shadow= --format= --object= --read-only --mode= --threads= --queue= --sector-size= \
			--on-mismatch= --on-error= --on-unverified= --log= --report= --mmap= --trap --history= --journal= \
			--journal-data --stats
		;;
	prepare) echo --format= --object= --force ;;
	compare) echo --format= --object= --json --sector-size= ;;
	inspect) echo --sector= --count= --format= --object= --sector-size= ;;
	doctor) echo --also= --verbose ;;
	esac
	echo --help --version
}

# what an option may be given; fails for those that take none
_blkverify_values() {
	case $1 in
	--format) echo "$_blkverify_formats" ;;
	--mode) echo sync pool ;;
	--on-mismatch) echo abort exit eio stop log ;;
	--on-error) echo mismatch pass ;;
	--on-unverified) echo refuse warn abort ;;
	--mmap) echo memfd refuse ;;
	--sector-size) echo 512 1024 2048 4096 8192 16384 32768 65536 ;;
	--threads | --queue | --history | --sector | --count | --object) ;;
	-t | --target | -s | --shadow | --log | --report | --journal | --also) echo : ;;
	*) return 1 ;;
	esac
}

_blkverify_files() {
	compopt -o filenames 2>/dev/null
	mapfile -t COMPREPLY < <(compgen -f -- "$1")
}

_blkverify() {
	local cur=$2 call=${COMP_WORDS[1]-} i option values
	COMPREPLY=()
	if [ "$COMP_CWORD" = 1 ]; then
		mapfile -t COMPREPLY < <(compgen -W 'run prepare compare inspect doctor --help --version' -- "$cur")
		return
	fi
	# behind -- there is another command line
	for ((i = 2; i < COMP_CWORD; i++)); do
		[ "$call" = run ] && [ "${COMP_WORDS[i]}" = -- ] || continue
		if [ "$i" = $((COMP_CWORD - 1)) ]; then
			mapfile -t COMPREPLY < <(compgen -c -- "$cur")
		elif declare -F _command_offset >/dev/null; then
			_command_offset $((i + 1))
		else
			_blkverify_files "$cur"
		fi
		return
	done
	# "--option VALUE", or "--option=VALUE", which bash takes for three words
	option=${COMP_WORDS[COMP_CWORD - 1]}
	[ "$cur" != = ] || cur=
	[ "${COMP_WORDS[COMP_CWORD]}" != = ] || option="${COMP_WORDS[COMP_CWORD - 1]} ="
	[ "$option" != = ] || option=${COMP_WORDS[COMP_CWORD - 2]-}
	if values=$(_blkverify_values "${option% =}"); then
		if [ "$values" = : ]; then
			_blkverify_files "$cur"
		else
			mapfile -t COMPREPLY < <(compgen -W "$values" -- "$cur")
		fi
	elif [[ $cur == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(_blkverify_options "$call")" -- "$cur")
		[[ ${COMPREPLY[0]-} != *= ]] || compopt -o nospace 2>/dev/null
	elif [ "$call" = doctor ] && [[ $cur != */* ]]; then
		mapfile -t COMPREPLY < <(compgen -c -- "$cur")
	else
		_blkverify_files "$cur"
	fi
}

complete -F _blkverify blkverify
