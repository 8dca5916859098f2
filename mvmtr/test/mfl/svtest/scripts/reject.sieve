require "reject";
if true {
	reject text:
Dear sender,
no.
.
;
}
