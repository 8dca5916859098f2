if address "Subject" "a@b" {
	discard;
}
