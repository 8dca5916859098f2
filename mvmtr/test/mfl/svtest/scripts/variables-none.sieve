if header :is "subject" "frop" {
	discard;
}
if header :is "subject" "${x}" {
	keep;
}
