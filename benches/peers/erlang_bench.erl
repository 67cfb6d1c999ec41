%% Two nodes: one serves, one drives and prints what it measured. See `erlang`.
-module(erlang_bench).
-export([serve/0, drive/0]).

-define(TELLS, 200000).
-define(PINGS, 10000).

serve() ->
    register(sink, self()),
    sink(0).

sink(Count) ->
    receive
        {tell, _Number, _Payload} -> sink(Count + 1);
        {ask, From, Number, _Payload} ->
            From ! {answer, Number},
            sink(Count)
    end.

drive() ->
    Sink = {sink, 'server@127.0.0.1'},
    connect(200),
    Payload = binary:copy(<<7>>, 100),
    ask(Sink, 0, Payload),
    Rates = [tells(Sink, Payload) || _ <- lists:seq(1, 5)],
    io:format("tells ~w~n", [lists:nth(3, lists:sort(Rates))]),
    Times = lists:sort([ping(Sink, N, Payload) || N <- lists:seq(1, ?PINGS)]),
    io:format("p50 ~w~np99 ~w~n", [quantile(Times, 0.5), quantile(Times, 0.99)]),
    halt(0).

%% The server takes a moment to start.
connect(0) ->
    io:format(standard_error, "the server did not start~n", []),
    halt(1);
connect(Tries) ->
    case net_adm:ping('server@127.0.0.1') of
        pong -> wait_for_sink(200);
        pang -> timer:sleep(50), connect(Tries - 1)
    end.

wait_for_sink(Tries) when Tries > 0 ->
    case rpc:call('server@127.0.0.1', erlang, whereis, [sink]) of
        undefined -> timer:sleep(50), wait_for_sink(Tries - 1);
        _ -> ok
    end.

tells(Sink, Payload) ->
    Start = erlang:monotonic_time(nanosecond),
    [Sink ! {tell, N, Payload} || N <- lists:seq(1, ?TELLS)],
    ask(Sink, 0, Payload),
    ?TELLS * 1.0e9 / (erlang:monotonic_time(nanosecond) - Start).

ping(Sink, Number, Payload) ->
    Start = erlang:monotonic_time(nanosecond),
    ask(Sink, Number, Payload),
    (erlang:monotonic_time(nanosecond) - Start) / 1000.

ask(Sink, Number, Payload) ->
    Sink ! {ask, self(), Number, Payload},
    receive {answer, Number} -> ok end.

quantile(Sorted, Q) ->
    lists:nth(min(length(Sorted), trunc(length(Sorted) * Q) + 1), Sorted).
