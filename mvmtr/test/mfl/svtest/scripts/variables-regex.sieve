require ["variables", "regex"];
set "key" "(";
if header :regex "subject" "${key}" { keep; }
