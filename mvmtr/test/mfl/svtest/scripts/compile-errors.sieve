require "x-none";
if headr "subject" "x" { keep; }
if header :contain "subject" "x" { keep; }
if envelope "from" "x" { keep; }
if exists { keep; }
if size 100 { keep; }
