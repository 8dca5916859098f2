require "ihave";
if ihave "x-frobnicate" {
	frobnicate :twice "everything" { anything; }
} elsif allof (ihave "envelope", envelope :contains "from" "@") {
	discard;
}
