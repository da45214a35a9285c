CREATE TABLE full (b INT UNSIGNED, a VARCHAR(10), e ENUM('x','y'), s SET('p','q') CHARACTER SET latin1, t TEXT, PRIMARY KEY (b, a(3)));
INSERT INTO full VALUES (4294967295, 'ä', 'y', 'p,q', 't');
-- mysql: CREATE TABLE hidden (id INT, v INT INVISIBLE, PRIMARY KEY (id)); INSERT INTO hidden (id, v) VALUES (1, 2);
-- mysql: SET SESSION sql_generate_invisible_primary_key=ON; CREATE TABLE gipk (v INT); INSERT INTO gipk VALUES (3);
SET GLOBAL binlog_row_metadata=MINIMAL;
INSERT INTO full VALUES (4294967294, 'ä', 'x', '', 't');
-- mariadb: SET GLOBAL binlog_row_metadata=NO_LOG;
INSERT INTO full VALUES (4294967293, 'ä', 'x', '', 't');
SET GLOBAL binlog_row_metadata=FULL;
