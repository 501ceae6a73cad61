"""What `collector.BatchTickCollector` is made of: frames, one link, the queue, repair, the beat.

``frames`` cuts a socket's bytes into messages; ``link`` is one supervised connection, told what to
do by ``supervision``; ``intake`` is the bounded queue and the one writer; ``repair`` fills holes;
``meters`` count; ``headless`` is the command line.
"""
