"""Does the product find a planted fault, name it rightly, and keep quiet where there is none?"""
