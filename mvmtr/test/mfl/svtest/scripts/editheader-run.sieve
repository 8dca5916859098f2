require ["editheader", "variables"];
set "name" "bad name";
addheader "${name}" "x";
