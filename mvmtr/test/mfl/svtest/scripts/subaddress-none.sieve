if address :user "from" "ken" { keep; }
