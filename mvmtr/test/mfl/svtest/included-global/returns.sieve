require ["include", "variables"];
set "global.shared" "global";
