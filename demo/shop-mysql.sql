-- The demo's shop (shop.sql) for MariaDB: four tables, and a procedure that plays a day of business, one small transaction after
-- the other; and a judge, whose triggers count the row changes that were committed.
create database shop character set utf8mb4;
create database judge;
use shop;
create table customers (
    id int primary key, name text not null, email text, city text, updated_at timestamp(6) not null default current_timestamp(6));
create table products (
    id int primary key, name text not null, price decimal(10,2) not null, description text);
create table orders (
    id int primary key, customer_id int not null, status text not null, total decimal(12,2) not null default 0,
    placed_at timestamp(6) not null default current_timestamp(6));
create table order_items (
    order_id int, line int, product_id int not null, quantity int not null, price decimal(10,2) not null,
    primary key (order_id, line));

create table judge.changes (n bigint auto_increment primary key);
create trigger customers_i after insert on customers for each row insert into judge.changes values ();
create trigger customers_u after update on customers for each row insert into judge.changes values ();
create trigger customers_d after delete on customers for each row insert into judge.changes values ();
create trigger products_i after insert on products for each row insert into judge.changes values ();
create trigger products_u after update on products for each row insert into judge.changes values ();
create trigger products_d after delete on products for each row insert into judge.changes values ();
create trigger orders_i after insert on orders for each row insert into judge.changes values ();
create trigger orders_u after update on orders for each row insert into judge.changes values ();
create trigger orders_d after delete on orders for each row insert into judge.changes values ();
create trigger order_items_i after insert on order_items for each row insert into judge.changes values ();
create trigger order_items_u after update on order_items for each row insert into judge.changes values ();
create trigger order_items_d after delete on order_items for each row insert into judge.changes values ();

delimiter //
-- Two of these run side by side (part 0 and 1), on the even and on the odd keys, so that none waits long.
create procedure shop.open(part int)
begin
    declare i int default 1;
    start transaction;
    while i <= 25 do
        insert into products values (2 * i + part, concat('product ', 2 * i + part), 1 + (i * 37 % 900) / 10.0,
                                     repeat(md5(i), 100));
        set i = i + 1;
    end while;
    commit;
    set i = 1;
    while i <= 40 do
        insert into customers (id, name, email, city) values (2 * i + part, concat('customer ', 2 * i + part),
            concat('c', i, '@shop.example'), elt(1 + i % 4, 'Oslo', 'Lyon', 'Graz', 'Kraków'));
        set i = i + 1;
    end while;
end//

create procedure shop.place_order(part int, n int)
begin
    declare who int default 2 * (1 + floor(rand() * 60)) + part;
    declare number int default 2 * n + part;
    declare many int default 1 + floor(rand() * 4);
    insert ignore into customers (id, name, city) values (who, concat('customer ', who), 'Oslo');
    insert into orders (id, customer_id, status) values (number, who, 'new');
    insert into order_items
        select number, row_number() over (), id, 1 + floor(rand() * 5), price
        from (select id, price from products order by rand() limit many) p;
    update orders set total = (select sum(quantity * price) from order_items where order_id = number) where id = number;
end//

create procedure shop.work(part int, first int, last int)
begin
    declare n int default first;
    declare dice double;
    declare who int;
    set session transaction isolation level read committed;
    while n <= last do
        set dice = rand(), who = 2 * (1 + floor(rand() * 60)) + part;
        start transaction;
        call place_order(part, n);
        if dice < 0.30 then
            update orders set status = 'shipped' where id = 2 * (n - 3) + part;
        elseif dice < 0.40 then          -- cancelled: the order and its lines go
            delete from order_items where order_id = 2 * (n - 5) + part;
            delete from orders where id = 2 * (n - 5) + part;
        elseif dice < 0.50 then
            update products set price = price + 0.10 where id = 2 * (1 + n % 25) + part;
        elseif dice < 0.58 then
            update customers set city = concat('moved ', n), updated_at = current_timestamp(6) where id = who;
        elseif dice < 0.62 then
            delete from customers where id = who;
        end if;
        if dice >= 0.62 and dice < 0.70 then
            rollback;                    -- never happened
        else
            commit;
            do sleep(0.002);
        end if;
        set n = n + 1;
    end while;
end//
delimiter ;
