if ihave "body" { keep; }
error "not required";
