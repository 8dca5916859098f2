require "body";
if body :raw :text "x" { keep; }
if body :content "x" { keep; }
if body { keep; }
if body :sideways "x" { keep; }
