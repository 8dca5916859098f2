require "include";
include "../scripts/include-stop";
