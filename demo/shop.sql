-- The demo's shop: four tables, and a procedure that plays a day of business, one small transaction after the other.
create schema shop;
create table shop.customers (
    id int primary key, name text not null, email text, city text, updated_at timestamptz not null default now());
create table shop.products (
    id int primary key, name text not null, price numeric(10,2) not null, description text);
alter table shop.products alter description set storage external;  -- out of line, as a large text is
create table shop.orders (
    id int primary key, customer_id int not null, status text not null, total numeric(12,2) not null default 0,
    placed_at timestamptz not null default clock_timestamp());
create table shop.order_items (
    order_id int, line int, product_id int not null, quantity int not null, price numeric(10,2) not null,
    primary key (order_id, line));

-- Two of these run side by side (part 0 and 1), on the even and on the odd keys, so that none waits long.
create procedure shop.open(part int) language plpgsql as $$
begin
    for i in 1..25 loop
        insert into shop.products values (2 * i + part, 'product ' || 2 * i + part, 1 + (i * 37 % 900) / 10.0,
                                          repeat(md5(i::text), 100));
    end loop;
    commit;
    for i in 1..40 loop
        insert into shop.customers values (2 * i + part, 'customer ' || 2 * i + part, 'c' || i || '@shop.example',
                                           (array['Oslo', 'Lyon', 'Graz', 'Kraków'])[1 + i % 4]);
        commit;
    end loop;
end $$;

create procedure shop.place_order(part int, n int) language plpgsql as $$
declare
    who int := 2 * (1 + floor(random() * 60)::int) + part;
    number int := 2 * n + part;
begin
    insert into shop.customers values (who, 'customer ' || who, null, 'Oslo') on conflict do nothing;
    insert into shop.orders values (number, who, 'new');
    insert into shop.order_items
        select number, l, id, 1 + floor(random() * 5)::int, price
        from (select row_number() over () l, * from (select id, price from shop.products
              order by random() limit 1 + floor(random() * 4)::int) p) q;
    update shop.orders set total = (select sum(quantity * price) from shop.order_items where order_id = number)
        where id = number;
end $$;

create procedure shop.work(part int, first int, last int) language plpgsql as $$
declare
    dice float;
    who int;
begin
    perform setseed((part + first % 100) / 1000.0);
    for n in first..last loop
        dice := random();
        who := 2 * (1 + floor(random() * 60)::int) + part;
        call shop.place_order(part, n);
        if dice < 0.30 then
            update shop.orders set status = 'shipped' where id = 2 * (n - 3) + part;
        elsif dice < 0.40 then          -- cancelled: the order and its lines go
            delete from shop.order_items where order_id = 2 * (n - 5) + part;
            delete from shop.orders where id = 2 * (n - 5) + part;
        elsif dice < 0.50 then          -- the large description beside it is not sent: it must not be lost
            update shop.products set price = price + 0.10 where id = 2 * (1 + n % 25) + part;
        elsif dice < 0.58 then
            update shop.customers set city = 'moved ' || n, updated_at = clock_timestamp() where id = who;
        elsif dice < 0.62 then
            delete from shop.customers where id = who;
        elsif dice < 0.70 then
            rollback;                   -- never happened
            continue;
        end if;
        commit;
        perform pg_sleep(0.002);
    end loop;
end $$;
