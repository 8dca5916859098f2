keep "x";
discard {}
redirect;
redirect "no address";
redirect :copy "a@example.org";
reject "not required";
fileinto "folder";
vacation "gone";
