require ["include", "variables"];
global "shared";
set "shared" "inside";
return;
set "shared" "behind return";
