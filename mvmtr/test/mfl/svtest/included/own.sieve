require "variables";
set "own" "another";
