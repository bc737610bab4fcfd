package orms

import (
	"context"
	"database/sql"
	"net/url"
	"testing"

	mysqldriver "github.com/go-sql-driver/mysql"
	"gorm.io/driver/mysql"
	"gorm.io/gorm"

	"github.com/sqlqueue/sqlqueue/examples/orms/internal/recipe"
	"github.com/sqlqueue/sqlqueue/migrations"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/mysqlqueue"
)

func withGORMOnMySQL(q *sqlqueue.Queue, db *gorm.DB) recipe.Place {
	return func(ctx context.Context, id int64, pay func(id int64) error) error {
		return db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
			if err := tx.Create(&Order{ID: id}).Error; err != nil {
				return err
			}
			if _, err := mysqlqueue.WithTx(q, tx.Statement.ConnPool).Push(ctx, SendInvoice{OrderID: id}); err != nil {
				return err
			}
			return pay(id)
		})
	}
}

func TestMySQL(t *testing.T) {
	t.Parallel()
	for _, variable := range []string{"SQLQUEUE_TEST_MARIADB", "SQLQUEUE_TEST_MYSQL"} {
		for name, config := range map[string]*gorm.Config{"GORM": {}, "GORM with PrepareStmt": {PrepareStmt: true}} {
			t.Run(variable+"/"+name, func(t *testing.T) {
				t.Parallel()
				address, err := url.Parse(server(t, variable))
				if err != nil {
					t.Fatal("the server's address is not one")
				}
				db := openMySQL(t, address)
				recipe.Migrate(t, db, migrations.MySQL)
				q, err := mysqlqueue.New(db, sqlqueue.Config{})
				if err != nil {
					t.Fatal(err)
				}
				orm, err := gorm.Open(mysql.New(mysql.Config{Conn: db}), config)
				if err != nil {
					t.Fatal(err)
				}
				recipe.Check(t, db, q, withGORMOnMySQL(q, orm))
			})
		}
	}
}

// openMySQL opens an empty database on a server.
func openMySQL(t *testing.T, address *url.URL) *sql.DB {
	t.Helper()
	settings := mysqldriver.NewConfig()
	settings.Net, settings.Addr, settings.User = "tcp", address.Host, address.User.Username()
	settings.Passwd, _ = address.User.Password()
	admin, err := sql.Open("mysql", settings.FormatDSN())
	if err != nil {
		t.Fatal(err)
	}
	settings.DBName = newDatabase(t, admin)
	db, err := sql.Open("mysql", settings.FormatDSN())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}
