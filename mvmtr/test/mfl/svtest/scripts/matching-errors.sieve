require ["relational", "regex", "comparator-i;ascii-numeric"];

if header :comparator "i;ascii-numeric" :contains "subject" "1" { keep; }
if header :comparator "i;ascii-numeric" :matches "subject" "1" { keep; }
if header :comparator "i;ascii-numeric" :regex "subject" "1" { keep; }
if header :comparator "i;klingon" "subject" "1" { keep; }
if header :value "more" "subject" "1" { keep; }
if header :value "subject" "1" { keep; }
if header :is :contains "subject" "1" { keep; }
if header :is :is "subject" "1" { keep; }
if header :regex "subject" "(" { keep; }
if header :comparator "i;unicode-casemap" "subject" "1" { keep; }
