require "variables";

set "bad name" "x";
set "1" "x";
set "${dynamic}" "x";
set "only";
set :lower :upper "a" "b";
set :sideways "a" "b";
set "name.space" "b";
