require "envelope";
if envelope "helo" "x" { discard; }
