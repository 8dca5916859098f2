else { keep; }
elsif true { keep; }
if "x" { keep; }
if true;
if not { keep; }
if frobnicate { keep; }
stop "now";
