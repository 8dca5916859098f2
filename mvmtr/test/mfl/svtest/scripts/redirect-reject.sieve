require "reject";
redirect "a@b.example";
reject "no";
