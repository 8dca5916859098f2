keep @;
if size :over 10Q { keep; }
if size :over 99999999999999999999 { keep; }
keep $;
// C's comments are not Sieve's
