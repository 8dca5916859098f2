require "date";
if date "date" "fortnight" "1" { keep; }
if date :zone "MEZ" "date" "year" "1" { keep; }
if date :zone "+0100" :originalzone "date" "year" "1" { keep; }
if currentdate :originalzone "year" "1" { keep; }
if date "bad name" "year" "1" { keep; }
