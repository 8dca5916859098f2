require "imap4flags";
vacation "I am not here";
