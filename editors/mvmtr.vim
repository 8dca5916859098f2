" Vim syntax file
" Language: MFL, the language of mvmtr's startup file
" Files:    *.mfl, mvmtr.mfl

if exists("b:current_syntax")
  finish
endif

syn case match
syn iskeyword @,48-57,_,$

" The C-like side
syn keyword mflType int string list void
syn keyword mflConditional if else switch case default
syn keyword mflRepeat while for do break continue
syn keyword mflStatement return control include
syn keyword mflOperator in test

" Hooks
syn keyword mflHook $hook_connect $hook_helo $hook_auth $hook_mail $hook_rcpt $hook_data
syn keyword mflHook $hook_message $hook_disconnect

" Built-in functions
syn keyword mflFunction $remote_ip $remote_host $remote_info $local_ip $local_host $helo $tls
syn keyword mflFunction $auth_user $env $relaying $set_relaying $sender $recipients $control
syn keyword mflFunction $note $set_note
syn keyword mflFunction $header $headers $body_size $add_header $delete_header $spf $dkim $dmarc
syn keyword mflFunction $dns_a $dns_mx $dns_txt $dns_ptr $dnsbl $cdb_has $cdb $file_has $assess
syn keyword mflFunction $lower $upper $length $substring $split $join $replace $match $local
syn keyword mflFunction $domain $int $string $format $md5 $sha256 $time $strftime
syn keyword mflFunction $log $accept $reject $defer $discard

" Sieve; what both sides have is above
syn keyword mflSieveCommand require elsif stop keep discard redirect reject ereject set addheader
syn keyword mflSieveCommand deleteheader error global
syn keyword mflSieveTest address allof anyof exists false header not size true body currentdate
syn keyword mflSieveTest date envelope environment ihave spamtest virustest
syn match mflTag ":\a\w*"

syn match mflNumber "\<\d\+[KMGkmg]\=\>"
syn match mflNumber "\<0[xX]\x\+\>"

syn match mflVariable "\${[^}"]*}" contained
syn match mflEscape +\\\(x\x\x\|.\)+ contained
syn region mflString start=+"+ skip=+\\.+ end=+"+ contains=mflVariable,mflEscape
syn region mflString start="\<text:\s*\(#.*\)\=$" end="^\.$" contains=mflVariable

syn match mflComment "#.*$"
syn match mflComment "//.*$"
syn region mflComment start="/\*" end="\*/"

hi def link mflType Type
hi def link mflConditional Conditional
hi def link mflRepeat Repeat
hi def link mflStatement Statement
hi def link mflOperator Operator
hi def link mflHook Special
hi def link mflFunction Function
hi def link mflSieveCommand Statement
hi def link mflSieveTest Function
hi def link mflTag Label
hi def link mflNumber Number
hi def link mflVariable Identifier
hi def link mflEscape SpecialChar
hi def link mflString String
hi def link mflComment Comment

let b:current_syntax = "mvmtr"
