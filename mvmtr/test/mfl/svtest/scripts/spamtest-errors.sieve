require "spamtest";
if spamtest :percent :is "1" { keep; }
if spamtest { keep; }
if virustest "1" { keep; }
