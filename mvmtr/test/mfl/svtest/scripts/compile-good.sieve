require ["envelope", "body", "variables"];
if anyof (envelope "from" "x@y", not header :contains ["subject", "from"] ["a", "b"]) {
	set "a" "b";
} elsif size :over 1M {
	discard;
	stop;
} else {
	redirect "frop@example.org";
}
