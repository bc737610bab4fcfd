package orms

import (
	"context"
	"database/sql"
	"net/url"
	"testing"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/jmoiron/sqlx"
	_ "github.com/lib/pq"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/driver/pgdriver"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"github.com/sqlqueue/sqlqueue/examples/orms/internal/recipe"
	"github.com/sqlqueue/sqlqueue/migrations"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/pgqueue"
)

// Order is a row of the application.
type Order struct {
	ID int64
}

func withGORM(q *sqlqueue.Queue, db *gorm.DB) recipe.Place {
	return func(ctx context.Context, id int64, pay func(id int64) error) error {
		return db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
			if err := tx.Create(&Order{ID: id}).Error; err != nil {
				return err
			}
			if _, err := pgqueue.WithSQLTx(q, tx.Statement.ConnPool).Push(ctx, SendInvoice{OrderID: id}); err != nil {
				return err
			}
			return pay(id)
		})
	}
}

func withSQLX(q *sqlqueue.Queue, db *sqlx.DB) recipe.Place {
	return func(ctx context.Context, id int64, pay func(id int64) error) error {
		tx, err := db.BeginTxx(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }()
		if _, err := tx.NamedExecContext(ctx, "INSERT INTO orders (id) VALUES (:id)", map[string]any{"id": id}); err != nil {
			return err
		}
		if _, err := pgqueue.WithSQLTx(q, tx.Tx).Push(ctx, SendInvoice{OrderID: id}); err != nil {
			return err
		}
		if err := pay(id); err != nil {
			return err
		}
		return tx.Commit()
	}
}

func withBun(q *sqlqueue.Queue, db *bun.DB) recipe.Place {
	return func(ctx context.Context, id int64, pay func(id int64) error) error {
		return db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
			if _, err := tx.NewInsert().Model(&Order{ID: id}).Exec(ctx); err != nil {
				return err
			}
			if _, err := pgqueue.WithSQLTx(q, tx.Tx).Push(ctx, SendInvoice{OrderID: id}); err != nil {
				return err
			}
			return pay(id)
		})
	}
}

// EntTx is the transaction that ent generates with the feature sql/execquery, in short.
type EntTx struct{ *entsql.Tx }

// InsertOrder is ent's Order.Create().SetID(id).Exec(ctx).
func (tx EntTx) InsertOrder(ctx context.Context, id int64) error {
	query, args := entsql.Dialect(dialect.Postgres).Insert("orders").Columns("id").Values(id).Query()
	return tx.Exec(ctx, query, args, nil)
}

func withEnt(q *sqlqueue.Queue, db *sql.DB) recipe.Place {
	return func(ctx context.Context, id int64, pay func(id int64) error) error {
		begun, err := entsql.OpenDB(dialect.Postgres, db).BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		tx := EntTx{begun.(*entsql.Tx)} // client.Tx(ctx) in an application
		defer func() { _ = tx.Rollback() }()
		if err := tx.InsertOrder(ctx, id); err != nil {
			return err
		}
		if _, err := pgqueue.WithSQLTx(q, tx).Push(ctx, SendInvoice{OrderID: id}); err != nil {
			return err
		}
		if err := pay(id); err != nil {
			return err
		}
		return tx.Commit()
	}
}

// Queries is what sqlc generates for database/sql, in short.
type Queries struct{ tx *sql.Tx }

// WithTx binds the queries to a transaction.
func (*Queries) WithTx(tx *sql.Tx) *Queries { return &Queries{tx} }

// InsertOrder inserts an order.
func (s *Queries) InsertOrder(ctx context.Context, id int64) error {
	_, err := s.tx.ExecContext(ctx, "INSERT INTO orders (id) VALUES ($1)", id)
	return err
}

func withSQLC(q *sqlqueue.Queue, db *sql.DB, queries *Queries) recipe.Place {
	return func(ctx context.Context, id int64, pay func(id int64) error) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }()
		if err := queries.WithTx(tx).InsertOrder(ctx, id); err != nil {
			return err
		}
		if _, err := pgqueue.WithSQLTx(q, tx).Push(ctx, SendInvoice{OrderID: id}); err != nil {
			return err
		}
		if err := pay(id); err != nil {
			return err
		}
		return tx.Commit()
	}
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	address := server(t, "SQLQUEUE_TEST_POSTGRES")
	for name, with := range map[string]func(t *testing.T, q *sqlqueue.Queue, dsn string, db *sql.DB) recipe.Place{
		"GORM": func(t *testing.T, q *sqlqueue.Queue, _ string, db *sql.DB) recipe.Place {
			orm, err := gorm.Open(postgres.New(postgres.Config{Conn: db}), &gorm.Config{})
			if err != nil {
				t.Fatal(err)
			}
			return withGORM(q, orm)
		},
		"GORM with PrepareStmt": func(t *testing.T, q *sqlqueue.Queue, _ string, db *sql.DB) recipe.Place {
			orm, err := gorm.Open(postgres.New(postgres.Config{Conn: db}), &gorm.Config{PrepareStmt: true})
			if err != nil {
				t.Fatal(err)
			}
			return withGORM(q, orm)
		},
		"sqlx": func(_ *testing.T, q *sqlqueue.Queue, _ string, db *sql.DB) recipe.Place {
			return withSQLX(q, sqlx.NewDb(db, "pgx"))
		},
		"bun": func(_ *testing.T, q *sqlqueue.Queue, _ string, db *sql.DB) recipe.Place {
			return withBun(q, bun.NewDB(db, pgdialect.New()))
		},
		"sqlc": func(_ *testing.T, q *sqlqueue.Queue, _ string, db *sql.DB) recipe.Place {
			return withSQLC(q, db, &Queries{})
		},
		"ent": func(_ *testing.T, q *sqlqueue.Queue, _ string, db *sql.DB) recipe.Place {
			return withEnt(q, db)
		},
		"bun with pgdriver": func(t *testing.T, q *sqlqueue.Queue, dsn string, _ *sql.DB) recipe.Place {
			db := bun.NewDB(sql.OpenDB(pgdriver.NewConnector(pgdriver.WithDSN(dsn))), pgdialect.New())
			t.Cleanup(func() { _ = db.Close() })
			return withBun(q, db)
		},
		"lib/pq": func(t *testing.T, q *sqlqueue.Queue, dsn string, _ *sql.DB) recipe.Place {
			db, err := sql.Open("postgres", dsn)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			return withSQLC(q, db, &Queries{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			admin, err := sql.Open("pgx", address)
			if err != nil {
				t.Fatal(err)
			}
			dsn, err := url.Parse(address)
			if err != nil {
				t.Fatal("the server's address is not one")
			}
			dsn.Path = newDatabase(t, admin)
			pool, err := pgxpool.New(t.Context(), dsn.String())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(pool.Close)
			db := stdlib.OpenDBFromPool(pool)
			t.Cleanup(func() { _ = db.Close() })
			recipe.Migrate(t, db, migrations.Postgres)
			q, err := pgqueue.New(pool, sqlqueue.Config{})
			if err != nil {
				t.Fatal(err)
			}
			recipe.Check(t, db, q, with(t, q, dsn.String(), db))
		})
	}
}
