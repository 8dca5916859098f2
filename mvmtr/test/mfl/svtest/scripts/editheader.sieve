require "editheader";
addheader "X-Script" "was here";
