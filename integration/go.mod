module github.com/sqlqueue/sqlqueue/integration

go 1.25.0

replace github.com/sqlqueue/sqlqueue => ../
