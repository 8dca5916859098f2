require "index";
if header :last "x" "y" { keep; }
if header :index 0 "x" "y" { keep; }
if header :index "x" "y" { keep; }
if exists :index 1 "x" { keep; }
