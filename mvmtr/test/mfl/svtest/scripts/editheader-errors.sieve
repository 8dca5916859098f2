require "editheader";
addheader "X-A";
addheader "X-A:" "x";
addheader :first "X-A" "x";
addheader "X-A" ["x", "y"];
deleteheader :last "X-A";
deleteheader "bad name";
deleteheader :index 0 "X-A";
