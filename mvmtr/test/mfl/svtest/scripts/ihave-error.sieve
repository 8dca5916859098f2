require "ihave";
if not ihave "x-none" {
	error "there is no such thing";
}
discard;
