_tflm_train() {
  local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}"
  local command="" words="" word i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="${COMP_WORDS[i]}"
    case "$word" in
      -*) ;;
      # Of a group the second word belongs to the command.
      *) if [ $i -eq 1 ]; then command="$word"
         elif [ $i -eq 2 ]; then
           case "$command" in @GROUPS@) command="$command $word" ;; esac
         fi ;;
    esac
  done
  case "$previous" in -*) ;; *) previous="" ;; esac
  case "$command:$previous" in
@CASES@
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _tflm_train tflm_train
