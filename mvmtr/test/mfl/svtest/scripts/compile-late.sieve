keep;
require "envelope";
